"""What tests in several folders share."""

import pytest


@pytest.fixture(scope="session")
def save_model():
    """Return a function that writes a model folder as a fine-tuning leaves it, and returns the folder."""
    import torch
    import yaml

    def save(folder, conf, tokens, model):
        (folder / "tokens").mkdir(parents=True)
        (folder / "config.yaml").write_text(yaml.safe_dump(conf))
        (folder / "tokens/tokens.txt").write_text("\n".join(tokens) + "\n")
        (folder / "tokens/tokens.json").write_text('{"type": "char"}')
        torch.save(model.state_dict(), folder / "latest.pth")
        return folder

    return save
