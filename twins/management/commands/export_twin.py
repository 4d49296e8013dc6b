from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from common.errors import DtocError
from ml.errors import MlError
from twins.models import ModelVersion
from twins.selectors import loaded_model, model_version_named


class Command(BaseCommand):
    help = (
        "Write one advance step of a model version as an ONNX file, checked against the model: "
        "encoded events and states in, states out. Needs pip install 'dtoc[onnx]'."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "model",
            nargs="?",
            default="active",
            help="id, name, first characters of the SHA-256, active or challenger (active)",
        )
        parser.add_argument("--onnx", type=Path, metavar="FILE", required=True)

    def handle(self, *args: Any, model: str, onnx: Path, **options: Any) -> None:
        from ml.onnx_export import export  # torch: only here

        try:
            version = model_version_named(model)
            made = export(loaded_model(version), facts_of(version))
            onnx.write_bytes(made.content)
        except (DtocError, MlError) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"the file cannot be written: {error}") from error
        self.stdout.write(
            f"{onnx}: {len(made.content):,} bytes, one step of {version.name}; differs from the "
            f"model by at most {made.difference:.1e}"
        )


def facts_of(version: ModelVersion) -> dict[str, str]:
    """What the file says of where it comes from."""
    return {
        "model_id": str(version.id),
        "model_name": version.name,
        "model_sha256": version.sha256,
        "code_version": version.code_version,
    }
