import pytest

from storage.stores.litter import is_litter, litter_in

DAY = "images/bolt/2026-11-21"


@pytest.mark.parametrize(
    "name",
    [
        *("._a.png", ".DS_Store", "Thumbs.db", "THUMBS.DB", "thumbs.db:encryptable", "Desktop.ini", "ehthumbs.db"),
        *("@eaDir", "@EADIR", "lost+found", "#recycle", "#snapshot", ".snapshot", "$RECYCLE.BIN", "@Recycle"),
        *(".AppleDouble", ".Spotlight-V100", ".Trashes", ".Trash-1000", ".fseventsd", ".TemporaryItems"),
        *("System Volume Information", "__MACOSX", ".directory", ".nfs00000000012ab0e3", ".smbdelete1a2b"),
        *("Icon\r", "a.png@SynoEAStream", "a.png:Zone.Identifier", ".gitkeep", ".sync", ".stfolder"),
        *("~$labels.xlsx", ".~lock.labels.csv#", ".#labels.csv", "#labels.csv#", "labels.csv~", ".labels.csv.swp"),
        *("a.png.part", "a.png.crdownload", "a.TMP", "a.png.filepart", ".a.png.x3Fq9Z", ".syncthing.a.png.tmp"),
        *(
            ".thumbs",
            ".wdmc",
            ".recycle",
            ".trashed-1795000000-a.png",
            "a.pngZone.Identifier",
            "found.000",
            "a.png.aria2",
        ),
        *(".BridgeCacheT", "a.png.lnk", "a.png._COPYING_", ".tmp.drivedownload", "SYNO@.fileindexdb", "a.png.lock"),
        *("2026-11-21_$folder$", ".goutputstream-AB12CD", ".in.a.png.", ".ipynb_checkpoints"),
    ],
)
def test_what_machines_leave_is_litter_wherever_it_lies(name: str) -> None:
    assert is_litter(name)
    assert litter_in(f"{DAY}/{name}") == f"{DAY}/{name}"


@pytest.mark.parametrize(
    "name",
    [
        *("a.png", ".a.png", ".hidden", "DS_Store", "my.DS_Store", "thumbs.dbx", "thumbs", "lost", "found"),
        *(".trashed.png", "found.0001", "BridgeCache", "lock.png", "a.lnk.png", "thumbs.png", "cache"),
        *("recycle", "snapshot", "eaDir", "part", "tmp", "upload", "a.part.png", "a.tmp.png", "tmp.png", "a~b.png"),
        *(
            "#12.png",
            "$5.png",
            "@2x.png",
            "~a.png",
            "directory",
            "sync",
            "x.nfs12",
            ".nfsx",
            "Icon",
            "desktop.ini.png",
        ),
        *("a\n.DS_Store", "new\nline.png", "caf\u00e9.png", "\udcff.png"),
    ],
)
def test_a_name_somebody_gave_is_never_litter(name: str) -> None:
    assert not is_litter(name)
    assert not is_litter(f"{DAY}/{name}")


def test_a_folder_of_litter_is_named_once() -> None:
    assert litter_in(f"{DAY}/@eaDir/a.png/SYNOPHOTO_THUMB_XL.jpg") == f"{DAY}/@eaDir/"
    assert litter_in(f"{DAY}/@eaDir/") == f"{DAY}/@eaDir/"
    assert is_litter("images/.Trashes/2026-11-21/a.png")


def test_a_folder_may_be_called_like_an_upload() -> None:
    assert not is_litter("images/bolt/2026-11-21/line.tmp/a.png")
    assert not is_litter("images/valve.part/2026-11-21/")


def test_a_long_name_costs_no_time() -> None:
    for name in ("." * 4000, "~" * 4000 + "x", "@" * 4000, "a/" * 2000 + "b"):
        assert not is_litter(name)
