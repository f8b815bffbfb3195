"""What EC2 and the metadata service tell this node, with the node's own rights. Nothing is changed."""
