"""EC2 and IMDS: what AWS says, as ipam's values."""
