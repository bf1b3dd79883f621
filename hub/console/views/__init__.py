"""What the pages of the console say."""
