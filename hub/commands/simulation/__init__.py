"""What `xieban simulate` puts together: a play at a throw-away hub, and what is said of predictions and plays."""
