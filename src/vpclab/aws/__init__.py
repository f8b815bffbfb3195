"""The region on the wire: EC2 query protocol and IMDS."""
