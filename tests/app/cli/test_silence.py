import subprocess
import sys


def test_tensorflow_is_imported_without_messages():
    code = """if True:
        import sys
        from app.cli.silence import import_tensorflow
        import_tensorflow()
        print("model.engines.tensorflow_encoder" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_if_the_import_fails_all_its_messages_are_shown():
    code = """if True:
        import os, sys
        from app.cli.silence import import_tensorflow
        class Finder:
            def find_spec(self, name, *_):
                if name == "model.engines.tensorflow_encoder":
                    os.write(2, b"no such library")
                    raise ImportError(name)
        sys.meta_path.insert(0, Finder())
        try:
            import_tensorflow()
        except ImportError as error:
            print(error)
        os.write(2, b", and on it goes")
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("model.engines.tensorflow_encoder\n", "no such library, and on it goes")
