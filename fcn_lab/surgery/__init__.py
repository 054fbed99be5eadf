"""Published and pretrained weights into our networks, and back out of them."""

from fcn_lab.surgery.published import export_published, load_published, published_fcn

__all__ = ["export_published", "load_published", "published_fcn"]
