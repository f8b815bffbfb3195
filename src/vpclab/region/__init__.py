"""The VPC as AWS defines it: pure and deterministic; time and randomness are given to it."""
