"""Every score of an occlusion map from one plain onnxruntime call.

python examples/score_boxes.py model.krypton.onnx [input.npy]     (without input: random pixels in [0, 1))
"""

import json
import sys

import numpy as np
import onnxruntime

from krypton_compile import get_library_path
from krypton_compile.contract.geometry import occlusion_grid

options = onnxruntime.SessionOptions()
options.log_severity_level = 3  # errors only: the optional inputs each cause a warning
options.register_custom_ops_library(get_library_path())
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])

about = json.loads(session.get_modelmeta().custom_metadata_map["krypton"])
shape = next(value.shape for value in session.get_inputs() if value.name == about["image"])
image = np.load(sys.argv[2]) if len(sys.argv) > 2 else np.random.default_rng(0).random(shape, np.float32)
boxes = occlusion_grid(about["image_shape"], patch=(16, 16), stride=(4, 4))  # int32 [P, 4]: y0, x0, h, w

feed = {about["image"]: image, about["baseline"]: np.zeros_like(image), about["boxes"]: boxes}
scores, base = session.run([about["scores"], about["base_scores"]], feed)

best = int(base.argmax())
drop = base[0, best] - scores[:, best]
print(f"class {best}, score {base[0, best]:.4f}; {len(boxes)} windows, largest drop {drop.max():.4f}")
print(f"at y0, x0, h, w = {boxes[drop.argmax()].tolist()}")
