"""Projects for frameworks: a folder of plain files for each, filled in with what is known of a model and a board.

How a framework is made
=======================

A framework is a folder of this package: ``framework.toml``, and below ``files/`` the files of a project. There is no
Python for a framework, and almost no logic in its files.

``framework.toml`` (all keys: :class:`chipfit.projects.framework.Framework`)::

    # In words: what `chipfit project` says it wrote, and how a README begins ("TITLE, written by chipfit").
    title = "Arduino library"
    # Which table of [frameworks] in a board's file names the board here. "": every board that is emulated will do.
    boards = "arduino"
    # Keys that this table must have, each with a regular expression for its text; templates find them in `ids`.
    ids = { fqbn = "[^:]+:[^:]+:.+" }
    # Left out: boards of all architectures (the `arch` of a core's file).
    archs = ["arm", "riscv"]
    # Where the C of the model goes: model.h, model.c, weights.h, weights.c, chipfit/*.h, and the parts. One folder, in
    # which all of it finds each other by #include "NAME.h"; only model.h and the parts are for others to include.
    sources = "src/{{ p }}"
    # Of the C around a model (below): what the project's own files call. A part brings those that it calls.
    parts = ["self_test"]
    # Commands for the user, run in the project's folder: what `chipfit project` prints as next, and the README names.
    # Those of which nothing is left are none: a command can depend on an {% if %}.
    next = ["arduino-cli compile -b {{ ids.fqbn }} examples/ClassifyStoredPictures"]
    # Left out, all of the board's memories are used, by sections that the project's own linker script must have (see
    # `link_script`). With true what is larger than one piece of RAM is refused instead: for linker scripts of others.
    one_memory = true
    # Left out: projects are for the core alone. With true they use a board's NPU, and templates find what it does in
    # `npu`.
    npu = true
    # Left out: chipfit's C computes the model. With true TensorFlow Lite Micro does, of the file in `interpreter`, and
    # the framework brings model.h itself.
    interpreter = true
    # Left out: none. Where files of runtime/port go, and which: a start-up, semihosting.
    port = "port"
    port_files = ["cf_port.h", "semihost.c", "start.h", "start_{{ board.core.arch }}.c"]

Each fact of a framework (a key of a file, a command) has its source above it in a comment that begins with
``# source:``; in templates ``{# source: ... #}``, which nobody else sees.

Files
-----

What is below ``files/`` is copied to the project under the same path. A name that ends in ``.j2`` is a Jinja template;
the ending goes. The paths are templates, too: ``files/src/{{ pascal }}.h.j2``. A file of which nothing but blanks
remains is not written, so that a whole file can depend on an ``{% if %}``. An unknown name is an error. Templates of
all frameworks: ``{% include "shared/README.md.j2" %}``; a README of a project is mostly that, see there for the blocks
that a framework fills.

In C, ``{{`` begins a Jinja expression: write ``{ {0} }``. Names that come from the user are not C: use the filters
``string`` (a literal with its quotes), ``comment`` (inside of a comment). ``kib`` prints bytes with their unit.

What templates know is :class:`chipfit.projects.context.Context`; its fields are the names.

The C around a model
--------------------

The functions begin with the model's C name ``p``, as those of ``model.h`` do:

* ``preprocess``, for models that take pictures: ``p_preprocess(pixels, input)`` from the pixels of a camera to what the
  model takes; ``p_pixel(value, channel)`` for one of them.
* ``classes``, for models that classify: ``p_best(model)``, ``p_score(model, class)``, ``p_label(class)``.
* ``test_inputs``: ``p_test_load(model, i)`` puts a stored test input into the model; ``p_test_differences(model, i)``
  says in how many elements the outputs differ from the reference. ``<P>_TEST_INPUTS`` is their number.
* ``self_test``: ``p_self_test(print, micros)`` runs all of them, prints a line for each and one that proves it, and
  returns how many were not as they should be. All that it needs of a framework are two functions: text to the user,
  and a clock in microseconds (or NULL).

A main file is therefore short::

    #include "self_test.h"

    static void print(const char *text) { printf("%s", text); }
    static uint32_t micros(void) { return (uint32_t)esp_timer_get_time(); }
    void app_main(void) { {{ p }}_self_test(print, micros); }
"""

from chipfit.projects.framework import Framework, framework_names, load_framework
from chipfit.projects.inputs import StoredInputs
from chipfit.projects.interpreter import InterpreterUse, resolver_methods
from chipfit.projects.render import project_files
from chipfit.projects.room import fitting

__all__ = [
    "Framework",
    "InterpreterUse",
    "StoredInputs",
    "fitting",
    "framework_names",
    "load_framework",
    "project_files",
    "resolver_methods",
]
