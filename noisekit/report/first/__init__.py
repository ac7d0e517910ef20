"""What a report begins with: a sentence a model that says what can be told, and the pictures that tell most."""
