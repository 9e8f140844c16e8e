"""The REST service: the original's wire format, and modern doors to the same lake."""
