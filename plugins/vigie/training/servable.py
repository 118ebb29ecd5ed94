"""A model version: what answers, and the files it is kept in."""

from vigie.training.servable_files import pack
from vigie.training.servable_model import Answer, ServableModel
from vigie.training.unpacking import unpack

__all__ = ["Answer", "ServableModel", "pack", "unpack"]
