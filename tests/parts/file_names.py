"""Names of files below the root of an app, for whatever serves them."""

HASHED = (
    "assets/index-DVoHNO1Y.js",
    "assets/index-B-3_x9aZ.css",
    "assets/deep/index-DVoHNO1Y.js.map",
    "app/assets/logo-BhR3kQz0.svg",
    "static/js/main.8c8b8b1d.js",
    "static/js/787.28cb0dcd.chunk.js",
    "static/css/main.073c9b0a.css.map",
    "index.a1b2c3d4.js",
    "runtime-4f1c3d9a8b7e6f5d.js",
    "main-5UYT7BK3.js",
    "chunk-5TVWPQ7K.js",
    "main-AB2CDEFG.js",
    "assets/index-Ab1CDefg.js",
)

# What people write: to keep one of these in browsers for a year would be a fault.
PLAIN = (
    "assets/page-DVoHNO1Y.html",
    "robots.txt",
    "assets/logo.svg",
    "assets/my-document.js",
    "assets/react-dropdown.js",
    "assets/app-Settings.js",
    "assets/app-AppStore.png",
    "assets/my-title-page.css",
    "assets/logo-v2-final.png",
    "assets/icon-1024x768.png",
    "assets/page-section2.js",
    "assets/report-20240101.pdf",
    "assets/page-DECEMBER.js",
    "report-20240101.pdf",
    "photo.12345678.jpg",
    "effaced.defaced.js",
    "logo-CHAPTER2.svg",
    "x-iOS-App1.png",
    "jquery-3.7.1.min.js",
    "sw.js",
    "a1b2c3d4.js",
    "index-DVoHNO1Y",
)
