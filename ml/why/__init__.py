"""Why a twin expects what it expects: what each part of the model contributed, in closed form.

``items`` takes the next item apart, ``time`` the time to the next order. Nothing is estimated: the
parts add up to the prediction itself.
"""
