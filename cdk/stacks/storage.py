"""The audio: one object a clip under `clips/`, gone by itself as soon as its item is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import App, Duration
from aws_cdk import aws_s3 as s3

from .base import EnvironmentStack

if TYPE_CHECKING:
    from cdk.outputs import Outputs
    from cdk.settings import Settings


REQUEST_METRICS = "EntireBucket"
"""The id of the filter whose requests S3 counts: all of the bucket's."""


class Storage(EnvironmentStack):
    """The bucket of audio."""

    def __init__(self, app: App, settings: Settings, outputs: Outputs) -> None:
        super().__init__(app, settings, outputs)
        versioned = settings.bucket.versioned
        old_versions = s3.LifecycleRule(id="old-versions", noncurrent_version_expiration=Duration.days(30))
        self.bucket = s3.Bucket(
            self,
            "Audio",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            encryption=s3.BucketEncryption.S3_MANAGED,
            versioned=versioned,
            metrics=[s3.BucketMetrics(id=REQUEST_METRICS)],
            lifecycle_rules=[
                s3.LifecycleRule(id="clips", prefix="clips/", expiration=Duration.days(settings.table.ttl_days)),
                s3.LifecycleRule(id="unfinished-uploads", abort_incomplete_multipart_upload_after=Duration.days(1)),
                *([old_versions] if versioned else []),
            ],
            # Not emptied by CloudFormation: that takes a function with the right to delete everything in it.
            # `inv cdk.destroy` empties it first.
            removal_policy=self.data_policy,
        )
        self.give("BucketName", self.bucket.bucket_name, "The bucket of audio")
