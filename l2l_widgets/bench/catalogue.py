"""What can be compared, in words: known to the command line before torch is imported."""

from __future__ import annotations

#: How the C library's allocator is set: as each side would by itself, or for all sides alike.
ALLOCATORS = ("own", "kept", "default")
#: Subject -> one line for the help, and which of the command's options change what is done.
CATALOGUE: dict[str, tuple[str, tuple[str, ...]]] = {
    "synthesis": (
        "draw a StyleGAN2 picture: beside modulated weights and grouped convolutions",
        ("size", "batch", "allocator"),
    ),
    "mapper": (
        "edit latents: beside the same network as training runs it, and without gradients",
        ("batch",),
    ),
    "widget": (
        "a slider's event to pixels: beside the same session with a textbook generator",
        (),
    ),
    "directions": (
        "find the directions of all attributes: beside a support vector machine for each, as "
        "InterFaceGAN's script, with and without the accuracy that it ends with; then what "
        "components does",
        ("codes", "attributes", "dim", "components"),
    ),
    "components": (
        "find the principal components of W: beside incremental PCA, as GANSpace",
        ("codes", "dim"),
    ),
    "map": (
        "lay codes out in the plane, in a fresh process and again, and add a point: beside "
        "umap-learn with its own search for neighbours",
        ("codes", "dim"),
    ),
}
