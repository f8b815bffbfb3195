"""`vpc-cni bundle`: what somebody who is not on the node needs to know, in one small file, its analysis first."""
