"""What `--help` says below the options: examples first, then what may stand where."""

from __future__ import annotations

MODEL = "a network that `pellucid train` or `net.save` wrote"
DATA = """\
DATA is one of
  digits, digits_8x8     the embedded handwritten digits, 28×28 and 8×8; 2,000 or a fifth held out
  mnist, fashion_mnist,  well-known sets, from this machine or with --download from the net (kept
  emnist:letters         where PELLUCID_DATA says, else in the user's cache); mnist:FOLDER reads
                         them from a folder
  moons, circles,        points in two classes or more (moons:5000 for 5,000 of them),
  spirals, ring,           of which a fifth is held out
  quadrants
  plane                  a linear regression with noise
  shapes                 colour images with a class for each pixel
  FILE.csv, FILE.tsv     a table; its last column, or --target, is what to predict
  FOLDER                 images in a sub-folder for each class, or in train/ and test/ with such;
                         or IDX files named as MNIST's
  FILE.npz               arrays x and y, rows first; np.savez("mine.npz", x=x, y=y)
  images.idx,labels.idx  a pair of IDX files, .gz or not
Where a set has a part to train on, `train` takes it, and every other command the part held out."""

OVERVIEW = """\
from nothing to a network that reads handwriting, and what it sees in an image:
  pellucid train digits -o digits.safetensors
  pellucid evaluate digits.safetensors digits
  pellucid predict digits.safetensors photo.png

your own tables and images:
  pellucid train prices.csv -o prices.safetensors --target price --loss mse --scale-target
  pellucid train animals/ -o animals.safetensors --size 64 \\
      --layers "conv 16 3, relu, pool 2, flatten, dense 3"      # cats/, dogs/, horses/

build the layers yourself, and have them checked:
  pellucid check --start ladder/
  pellucid check ladder/rung_1_forward.py
  pellucid train digits --layers ladder/rung_6_network.py

look inside:
  pellucid summary digits.safetensors
  pellucid trace digits.safetensors digits --rows 2
  pellucid gradcheck digits.safetensors digits
  pellucid diagnose digits.safetensors digits

`pellucid COMMAND --help` explains each, with examples. Results go to stdout, progress and messages
to stderr. The exit status is 0 when all went well, 1 after a failure, 2 for wrong usage or input,
130 after Ctrl-C and 143 after SIGTERM."""

TRAIN = """\
examples:
  pellucid train digits -o digits.safetensors
  pellucid train fashion_mnist --download -o fashion.safetensors --plot curves.png
  pellucid train digits -o cnn.safetensors --epochs 8 --optimizer "adamw weight_decay=0.05" \\
      --layers "conv 16 5 2, relu, conv 32 3, relu, pool, dropout 0.4, dense 10"
  pellucid train prices.csv -o prices.safetensors --target price --loss mse --scale-target

go on after Ctrl-C, a kill or a power cut, with the weights of a run that never stopped:
  pellucid train digits -o d.safetensors --epochs 50 --checkpoint run.safetensors
  pellucid train digits -o d.safetensors --epochs 50 --resume run.safetensors

A LINE names something and its options, as Python would: a value for each of the first ones, any
other by its name. `sgd 0.1 momentum=0.9` is SGD(0.1, momentum=0.9); so are
  losses        huber delta=2        focal gamma=3        cross_entropy label_smoothing=0.1
  optimizers    adam beta_1=0.8 clip_norm=1               rmsprop 0.001 centered=true
  rates         cosine 0.01 2000     one_cycle 0.1 5000   step_decay 0.1 every=1000
  averages      ema 0.999            swa start=1000

layers, with the values that may follow each; options by name go behind them, padding=same:
{words}
  residual [layers] [shortcut=project]
--layers FILE.py runs a Python file of yours: layers = [Dense(128), ReLU(), Dense(10)] of the
library's layers in it, or the classes of rung_6_network.py. Give only files that you trust.
conv is short for conv2d, pool for max_pool2d. A size may be given as 3x5.
Where the line does not say it: bytes are rescaled to 0 … 1 and other numbers standardized in front,
images get an axis of channels before a convolution, and rows of several axes are flattened before
the first dense layer. The last layer needs an output for each class, or for each column of y.
Prices of 1,000 to 2,000 are far from what a network says at first. With --scale-target it ends in a
fixed layer that gives its numbers the mean and the spread of y: predictions and losses stay in the
units of the data. It goes with adam and others that adapt their steps; sgd needs a tiny rate then.

{data}"""

EVALUATE = """\
examples:
  pellucid evaluate digits.safetensors digits
  pellucid evaluate digits.safetensors digits --report
  pellucid evaluate mine.safetensors test.csv --target price --json

{data}"""

PREDICT = """\
examples:
  pellucid predict digits.safetensors photo.png scan.jpg
  pellucid predict digits.safetensors note.png --invert
  pellucid predict mine.safetensors new.csv --json

INPUT is an image, a folder of images, a table or an .npz file whose target may be missing, or any
other DATA. Images are resized to what the network takes, and their brightness is brought to the
range it was trained on. The embedded digits are bright ink on dark paper: --invert reads dark ink
on bright paper. A table's columns are found by their names where it has a header. With --missing
drop, row numbers count the rows that are kept. A classifier answers with the three most probable
classes, others with their values; --json gives all of them.

{data}"""

TRACE = """\
examples:
  pellucid trace digits.safetensors digits
  pellucid trace mine.safetensors mine.npz --rows 4 --few 40

One step on the first rows of the data, in a copy of the network: forward, loss, backward, update,
with the shape of every array, and its numbers where they are few.

{data}"""

SUMMARY = """\
examples:
  pellucid summary digits.safetensors
  pellucid summary digits.safetensors --json"""

GRADCHECK = """\
examples:
  pellucid gradcheck digits.safetensors digits
  pellucid gradcheck mine.safetensors mine.npz --rows 4 --json

Compares the gradient of every parameter, and of the input, with central differences in float64, and
shows both numbers. The exit status is 1 where they do not agree.

{data}"""

DIAGNOSE = """\
examples:
  pellucid diagnose digits.safetensors digits
  pellucid diagnose mine.safetensors mine.npz --json

Says in words what is wrong with a network or its data: what was found where, why it matters, and
what to try. The exit status is 0 whatever is found; --json tells a program.

{data}"""

COMPLETION = """\
examples:
  pellucid completion bash > ~/.local/share/bash-completion/completions/pellucid
  pellucid completion zsh > "${fpath[1]}/_pellucid"
  pellucid completion fish > ~/.config/fish/completions/pellucid.fish
  eval "$(pellucid completion bash)"      # for this shell alone

Prints a script for your shell that completes commands, options, their values, and names of data."""

CHECK = """\
examples:
  pellucid check --start ladder/
  pellucid check ladder/rung_1_forward.py
  pellucid check mine.py --json

Six rungs lead from a dense layer's forward pass to a network that trains: --start writes a file
with the blanks for each. Checking runs the file in a process of its own, calls what it defines, and
says in words what is right and wrong: shapes, values, gradients beside central differences, and the
likely slip. The exit status is 1 while something is not right."""

WALKTHROUGH = """\
examples:
  pellucid walkthrough
  pellucid walkthrough 2
  pellucid walkthrough regression --figures figures/
  pellucid walkthrough mnist --notebook mnist.ipynb

Without a name it lists them. With one it shows the prose, the code and what the code prints, while
it runs; the code asserts what the prose claims. The exit status is 1 where an assertion fails."""

VERSION = """\
examples:
  pellucid version
  pellucid version --json"""
