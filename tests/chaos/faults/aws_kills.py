"""The operator is killed when a launch was made, and it has not heard of it yet."""

from __future__ import annotations

from chaos import bought
from chaos.ground import Ground

NAME = "aws-kills"
BUYS = True


def inject(ground: Ground) -> None:
    """Answers to launches take long; as soon as there are instances, kill -9."""
    cloud = bought.market_of(ground).cloud
    for _ in range(1 if ground.bounded else 5):
        had = bought.launched(ground)
        cloud.switch(late_seconds=15.0)
        try:
            if bought.keep_buying(ground, lambda had=had: bought.launched(ground) > had):  # type: ignore[misc]
                ground.restart_operator()
                ground.strike(NAME, "killed between launch and record")
        finally:
            cloud.switch(late_seconds=0.0)
        ground.until(lambda: not ground.open_jobs(), 60)
