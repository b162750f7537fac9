"""The log of what was asked of the server and what it answered, in parquet files that a job can read at any time."""
