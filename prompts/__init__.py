"""The prompt files. No code: `rewriter.prompting` loads and fills them."""
