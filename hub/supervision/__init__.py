"""Supervision: where the time of cases goes, by the log alone, and figures that name the cases behind them."""
