"""The service as an application of Ray Serve: `serve run app.cluster.serve:app`."""

from collections.abc import Callable

from ray import serve

from app.cluster.options import Scale, deployment_options, replica_settings
from app.cluster.replica import Replica
from app.inference.encoder import Encoder
from app.settings import Settings, load_settings

NAME = "siglip"  # of the deployment, for Serve's configuration and metrics


def app(scale: Scale) -> serve.Application:
    """Returns the application. Serve calls this function, where the application is built, with its arguments.

    The settings are read here, once, and handed to all replicas.

    Raises:
        SettingsError: A setting is unknown or invalid.
    """
    return application(load_settings(), scale)


def application(
    settings: Settings,
    scale: Scale,
    make_encoder: Callable[[], Encoder] | None = None,
    **options: object,
) -> serve.Application:
    """Returns the application for these settings.

    Args:
        settings: The service's settings.
        scale: The replicas.
        make_encoder: Called in each replica for its encoder; None loads the configured checkpoint.
        options: More arguments of `ray.serve.deployment`, which take precedence.

    Raises:
        SettingsError: The service is to have several processes.
    """
    chosen = {"name": NAME, **deployment_options(settings, scale), **options}
    deployment = serve.deployment(serve.ingress()(Replica), **chosen)
    return deployment.bind(replica_settings(settings, scale), make_encoder)
