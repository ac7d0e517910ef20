"""Text encoders that are language models, one token a word, with the templates in which pipelines put a prompt.

A blank is a token where it stands at the end, as it does where it is all that is said.
"""

from __future__ import annotations

from typing import Any

#: A turn of a conversation as Qwen's models read it; the answer begins with a thought that is over where none is wanted.
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n</think>\n{% endif %}{% endif %}"
)

#: A conversation as Mistral's models read it, of parts that say what they are.
PARTS = (
    "<s>{% for message in messages %}[{{ message.role }}]"
    "{% for part in message.content %}{{ part.text }}{% endfor %}[end]{% endfor %}"
)

_SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<|vision_start|>",
)
_MISTRAL = ("<pad>", "<s>", "</s>", "[IMG]", "[IMG_BREAK]", "[IMG_END]", "[system]", "[user]", "[end]")
_WORDS = (
    "\n a one two red green blue circle square squares system user assistant think Describe the image by detailing color "
    "shape size texture quantity text spatial relationships of objects and background"
)


def _tokenizer(special: tuple[str, ...], pad: str, template: str) -> Any:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    marks = [chr(i) for i in range(33, 127) if not chr(i).isalnum()]
    words = [*special, "<unk>", *dict.fromkeys(["\n", " ", *_WORDS.split(), *marks])]
    known = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    known.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n|\w+|[^\w\s]| $"), "removed", invert=True)
    return PreTrainedTokenizerFast(
        tokenizer_object=known,
        pad_token=pad,
        additional_special_tokens=[word for word in special if word != pad],
        chat_template=template,
        padding_side="right",
        model_max_length=4096,
    )


def chat_tokenizer() -> Any:
    return _tokenizer(_SPECIAL, "<|endoftext|>", CHAT)


def mistral_processor() -> Any:
    """A tokenizer in the processor that reads images, too."""
    from transformers import PixtralImageProcessor, PixtralProcessor

    tokenizer = _tokenizer(_MISTRAL, "<pad>", PARTS)
    return PixtralProcessor(PixtralImageProcessor(), tokenizer, patch_size=14, chat_template=PARTS)


def _sizes(tokenizer: Any, layers: int, width: int = 8, heads: int = 2) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "intermediate_size": 16,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": 1,
        "head_dim": width // heads,
        "max_position_embeddings": 4096,
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": None,
        "initializer_range": 0.3,  # states of unit size, so that texts differ
    }


def qwen3_text(tokenizer: Any, layers: int = 2, width: int = 8, causal: bool = False) -> Any:
    from transformers import Qwen3Config, Qwen3ForCausalLM, Qwen3Model

    return (Qwen3ForCausalLM if causal else Qwen3Model)(
        Qwen3Config(**_sizes(tokenizer, layers, width))
    ).eval()


def qwen25_vl_text(tokenizer: Any, width: int = 16) -> Any:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
    sees = {"depth": 1, "hidden_size": 8, "intermediate_size": 8, "num_heads": 2, "out_hidden_size": width}
    sees |= {"patch_size": 2, "fullatt_block_indexes": [0], "window_size": 8}
    config = Qwen2_5_VLConfig(
        text_config=_sizes(tokenizer, 2, width) | {"rope_parameters": rope}, vision_config=sees, **_pictures()
    )
    return Qwen2_5_VLForConditionalGeneration(config).eval()


def qwen3_vl_text(tokenizer: Any, layers: int, width: int = 16) -> Any:
    from transformers import Qwen3VLConfig, Qwen3VLModel

    rope = {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "mrope_section": [1, 1, 2],
        "mrope_interleaved": True,
    }
    sees = {"depth": 1, "hidden_size": 8, "intermediate_size": 8, "num_heads": 2, "out_hidden_size": width}
    sees |= {"patch_size": 2, "deepstack_visual_indexes": [0], "num_position_embeddings": 4}
    config = Qwen3VLConfig(
        text_config=_sizes(tokenizer, layers, width) | {"rope_parameters": rope},
        vision_config=sees,
        **_pictures(),
    )
    return Qwen3VLModel(config).eval()


def mistral_text(tokenizer: Any, layers: int) -> Any:
    from transformers import Mistral3Config, Mistral3ForConditionalGeneration

    sees = {"model_type": "pixtral", "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    sees |= {"num_attention_heads": 2, "head_dim": 4, "image_size": 28, "patch_size": 14}
    text = _sizes(tokenizer, layers) | {"model_type": "mistral"}
    return Mistral3ForConditionalGeneration(
        Mistral3Config(text_config=text, vision_config=sees, image_token_index=3)
    ).eval()


def _pictures() -> dict[str, int]:
    return {"image_token_id": 3, "video_token_id": 4, "vision_start_token_id": 5}
