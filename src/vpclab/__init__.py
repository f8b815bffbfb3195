"""An AWS region and an EKS cluster inside one Linux machine."""
