"""The REST service: endpoints in the wire format of the original, and modern ones over the same lake."""
