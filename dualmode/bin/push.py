"""Send a packed model, or one sub-network, to the Hugging Face Hub.

The folder is one of dualmode pack or subnet; of its files only those are sent that such a folder has. Whoever is logged
in (hf auth login, or the variable HF_TOKEN) has to own the repository. Anybody then opens it as hf:USER/MODEL.
"""

from collections.abc import Sequence

from dualmode.cli import existing_dir, make_parser, run


def get_parser():
    parser = make_parser(__doc__, "push")
    parser.add_argument("model", type=existing_dir, metavar="MODEL", help="folder of dualmode pack or subnet")
    parser.add_argument("name", metavar="hf:USER/MODEL", help="repository, which is made where it is not there yet")
    parser.add_argument("--private", action="store_true", help="a repository that is made is private")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = get_parser().parse_args(argv)
    from dualmode.models.hub import push

    print(f"{args.model}: sent to {push(args.model, args.name, args.private)}")


if __name__ == "__main__":
    run(main)
