// Of each lane the largest of its 2**level neighbours, requantizer.joined: a tree, tapped at a level.
module requantizer_tree #(
    parameter int LANES  = 64,
    parameter int W      = 12,
    parameter int LEVELS = $clog2(LANES),
    parameter int N      = LEVELS == 0 ? 1 : $clog2(LEVELS + 1)
) (
    input  logic [LANES*W-1:0] x,
    input  logic       [N-1:0] level,
    output logic [LANES*W-1:0] largest
);
  for (genvar k = 0; k <= LEVELS; k++) begin : row
    // node[j] is the largest of the lanes from j * 2**k on
    localparam int Nodes = (LANES + (1 << k) - 1) >> k;
    logic [Nodes*W-1:0] node;
    logic [LANES*W-1:0] tapped;
    if (k == 0) begin : leaf
      assign node = x;
    end else begin : joint
      localparam int Below = (LANES + (1 << (k - 1)) - 1) >> (k - 1);
      for (genvar j = 0; j < Nodes; j++) begin : pair
        if (2 * j + 1 < Below) begin : two
          logic signed [W-1:0] a, b;
          assign a = row[k-1].node[2*j*W+:W];
          assign b = row[k-1].node[(2*j+1)*W+:W];
          assign node[j*W+:W] = a > b ? a : b;
        end else begin : one
          assign node[j*W+:W] = row[k-1].node[2*j*W+:W];
        end
      end
    end
    for (genvar i = 0; i < LANES; i++) begin : lane
      if (k == LEVELS) begin : root
        assign tapped[i*W+:W] = node[0+:W];
      end else begin : inner
        assign tapped[i*W+:W] = level == N'(k) ? node[(i>>k)*W+:W] : row[k+1].tapped[i*W+:W];
      end
    end
  end
  assign largest = row[0].tapped;
  logic unused;
  assign unused = ^level;
endmodule
