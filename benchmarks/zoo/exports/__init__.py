"""Networks as their libraries export them: transformers, timm, MONAI, torchvision, ultralytics."""
