"""The queue between the API and the processor, with a place for what cannot be processed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import App, Duration
from aws_cdk import aws_sqs as sqs

from .base import EnvironmentStack

if TYPE_CHECKING:
    from cdk.outputs import Outputs
    from cdk.settings import Settings


class Queue(EnvironmentStack):
    """The queue of clips to speak, and its dead-letter queue."""

    def __init__(self, app: App, settings: Settings, outputs: Outputs) -> None:
        super().__init__(app, settings, outputs)
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            # The longest there is: a message keeps the age it had in the queue that it comes from.
            retention_period=Duration.days(14),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
        )
        self.queue = sqs.Queue(
            self,
            "Clips",
            visibility_timeout=Duration.seconds(settings.queue.visibility_timeout),
            retention_period=Duration.seconds(settings.queue.retention),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=self.dead_letters, max_receive_count=settings.queue.max_receives
            ),
        )
        self.give("QueueUrl", self.queue.queue_url, "The queue of clips to speak")
        self.give("QueueArn", self.queue.queue_arn, "The queue of clips to speak")
        self.give("QueueName", self.queue.queue_name, "The queue of clips to speak")
        self.give("DeadLetterQueueUrl", self.dead_letters.queue_url, "What could not be spoken")
        self.give("DeadLetterQueueName", self.dead_letters.queue_name, "What could not be spoken")
