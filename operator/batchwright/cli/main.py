"""The command line put together: verbs, help, and what becomes of errors."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer

from batchwright.cli import (
    bench,
    catalogue,
    cost,
    demo,
    describe,
    ending,
    exits,
    listing,
    local,
    logs,
    operate,
    plan,
    retry,
    simulate,
    submit,
    wait,
)
from batchwright.errors import BatchwrightError

HELP = "AWS Batch's model on any Kubernetes: job queues, job definitions, compute environments, batch jobs."


class CommandLine(typer.core.TyperGroup):
    """Turns the errors of every verb into one line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the verb."""
        try:
            return super().invoke(ctx)
        except BatchwrightError as error:
            raise typer.Exit(exits.report(error)) from error
        except exits.Failed as failed:
            raise typer.Exit(failed.code) from failed
        except KeyboardInterrupt as error:
            raise typer.Exit(exits.INTERRUPTED) from error


app = typer.Typer(
    cls=CommandLine,
    help=HELP,
    epilog=exits.EPILOG,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

app.command("submit", cls=submit.SubmitCommand, epilog=exits.EPILOG)(submit.submit)
app.command("list")(listing.list_jobs)
app.command("describe")(describe.describe)
app.command("logs")(logs.logs)
app.command("wait", epilog=exits.EPILOG)(wait.wait)
app.command("cancel")(ending.cancel)
app.command("terminate")(ending.terminate)
app.command("retry", epilog=exits.EPILOG)(retry.retry)
app.command("delete")(ending.delete)
app.command("queues")(catalogue.queues)
app.command("definitions")(catalogue.definitions)
app.command("environments")(catalogue.environments)
app.command("cost")(cost.cost)
app.command("plan", epilog=exits.EPILOG)(plan.plan)
app.add_typer(plan.app, name="queue")
app.command("simulate", epilog=exits.EPILOG)(simulate.simulate)
app.add_typer(operate.app, name="operator")
app.add_typer(local.app, name="local")
app.command("bench")(bench.bench)
app.command("demo")(demo.demo)


@app.command("version")
def version() -> None:
    """Print the version."""
    from importlib import metadata

    print(f"batchwright {metadata.version('batchwright')}")


def main() -> None:
    """The entry point of `batchwright` and `kubectl-batchwright`."""
    name = os.path.basename(sys.argv[0])
    # kubectl runs a plugin under its file name; what the user typed is two words.
    app(prog_name="kubectl batchwright" if name.startswith("kubectl-batchwright") else "batchwright")
