"""What kubelet executes."""
