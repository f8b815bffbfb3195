"""The Amazon VPC CNI for Kubernetes and its L-IPAM daemon."""

VERSION = "v0.1.0"
