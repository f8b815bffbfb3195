"""The lab as a page: a live map of its VPC, its nodes and their pools, and a timeline of what they ask and decide.

`picture` makes plain values of the region and of what the agents tell (pure); `watch` keeps them fresh while somebody looks;
`app` serves them and the static files. Nothing of it changes the lab.
"""

from vpclab.page.app import HOME, PodError, Questions, page_app
from vpclab.page.picture import picture
from vpclab.page.watch import Seen, Source, Watch

__all__ = ["HOME", "PodError", "Questions", "Seen", "Source", "Watch", "page_app", "picture"]
