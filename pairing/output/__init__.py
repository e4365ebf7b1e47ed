"""From records to files: the pairs, their split, Parquet, and what stands beside them."""
