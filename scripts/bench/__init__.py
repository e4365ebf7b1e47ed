"""What `scripts/bench_collector` is made of: a replay server, the clients it measures, and one file for each part."""
