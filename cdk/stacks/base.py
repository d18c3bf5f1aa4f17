"""What every stack has: its name, its account, its protection, and the way it gives out names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import App, CfnOutput, Environment, IStackSynthesizer, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam

if TYPE_CHECKING:
    from cdk.outputs import Outputs
    from cdk.settings import Settings


class EnvironmentStack(Stack):
    """A stack of one environment, named `PROJECT-environment-Stack` after its class.

    Parameters
    ----------
    protected:
        Whether CloudFormation refuses to delete it. As the data if not said.
    """

    def __init__(
        self,
        app: App,
        settings: Settings,
        outputs: Outputs,
        *,
        protected: bool | None = None,
        synthesizer: IStackSynthesizer | None = None,
    ) -> None:
        self._stack = type(self).__name__
        self._outputs = outputs
        super().__init__(
            app,
            f"{settings.project}-{settings.environment}-{self._stack}",
            description=f"{settings.project} {settings.environment}: {(type(self).__doc__ or '').splitlines()[0]}",
            env=Environment(account=settings.account, region=settings.region),
            # Those of the stack itself; application.py puts the same on what is in it.
            tags=settings.tags,
            termination_protection=settings.retain_data if protected is None else protected,
            synthesizer=synthesizer,
        )
        self.settings = settings

    @property
    def data_policy(self) -> RemovalPolicy:
        """What becomes of data when its stack is deleted."""
        return RemovalPolicy.RETAIN if self.settings.retain_data else RemovalPolicy.DESTROY

    def give(self, name: str, token: str, description: str) -> None:
        """Give out `token` as an output of this stack."""
        CfnOutput(self, name, value=token, description=description)
        self._outputs.add(f"{self._stack}.{name}", token)


def allow(resource: str, *actions: str) -> iam.PolicyStatement:
    """Return the statement that allows actions on one resource."""
    return iam.PolicyStatement(actions=list(actions), resources=[resource])
