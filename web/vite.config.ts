import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { VitePWA } from "vite-plugin-pwa";

// Relative addresses only: the app is served from "/" by the API, from web/dist or from the wheel's api/static.
export default defineConfig({
  plugins: [
    react(),
    VitePWA({
      registerType: "autoUpdate",
      injectRegister: null, // registered in main.tsx after the first paint, so it never competes with it
      includeAssets: ["icon.svg", "icon-192.png"],
      manifest: {
        name: "Millwright",
        short_name: "Millwright",
        description: "Maintenance work orders from the machines' own signals",
        start_url: "./",
        scope: "./",
        display: "standalone",
        background_color: "#eceeef",
        theme_color: "#eceeef",
        icons: [
          { src: "icon-192.png", sizes: "192x192", type: "image/png" },
          { src: "icon-512.png", sizes: "512x512", type: "image/png", purpose: "any maskable" },
          { src: "icon.svg", sizes: "any", type: "image/svg+xml" },
        ],
      },
      workbox: {
        globPatterns: ["**/*.{js,css,html,svg,png,webmanifest}"],
        navigateFallback: "index.html",
        navigateFallbackDenylist: [/^\/api\//, /^\/health/, /^\/metrics/, /^\/docs/, /^\/openapi/],
        cleanupOutdatedCaches: true,
        clientsClaim: true,
        skipWaiting: true,
      },
    }),
  ],
  build: { target: "es2022", cssMinify: true, reportCompressedSize: true, sourcemap: false, assetsInlineLimit: 0 },
  server: { proxy: { "/api": "http://127.0.0.1:8080" } }, // `millwright up`'s default address
});
