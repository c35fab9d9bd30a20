"""Where the data and the model of a benchmark come from."""
