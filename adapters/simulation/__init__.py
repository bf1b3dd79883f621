"""A simulated country: a year of traffic between its counties, predicted, played against a hub, and held together."""
