"""Ask why a score is what it is: `occlusion` covers parts of the image or of the text, `patches` looks inside."""
