/* In place of the Chart.js that unfold loads on every page, 69 kB compressed: no page of ours has a canvas for it.
   unfold's app.js asks for Chart only where it finds an element of class "chart". */
