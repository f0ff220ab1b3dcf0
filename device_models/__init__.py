"""What a device is, without talking to one: models and devices, twins, values, register and payload codecs. All pure.

`load` makes `model` values out of objects and says what is wrong with them; `values` turns text into typed values and
back; `twin` knows what is wanted and what is reported. Cloud and edge may both use it, and it knows neither.
"""
