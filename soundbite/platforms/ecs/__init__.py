"""ECS on Fargate: a service behind a load balancer, which AWS itself rolls out and takes back."""

from .platform import Ecs

__all__ = ["Ecs"]
