"""For every test."""

from hypothesis import settings

# what an example takes says more of how busy the machine is than of the code
settings.register_profile("vpc-cni", deadline=None)
settings.load_profile("vpc-cni")
