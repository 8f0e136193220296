// The sum of LANES numbers by a balanced tree, neighbours first: norm_root.tree. Each level adds one bit.
module norm_tree #(
    parameter int LANES = 64,
    parameter int W     = 16,
    parameter int WY    = W + $clog2(LANES)
) (
    input  logic      [LANES*W-1:0] x,
    output logic signed    [WY-1:0] y
);
  localparam int Levels = $clog2(LANES);
  for (genvar l = 0; l <= Levels; l++) begin : level
    localparam int Nodes = (LANES + (1 << l) - 1) >> l;
    localparam int Bits = W + l;
    logic [Nodes*Bits-1:0] sums;
    if (l == 0) begin : leaves
      assign sums = x;
    end else begin : nodes
      localparam int Below = (LANES + (1 << (l - 1)) - 1) >> (l - 1);
      for (genvar i = 0; i < Nodes; i++) begin : node
        logic signed [Bits-2:0] left;
        assign left = level[l-1].sums[2*i*(Bits-1)+:Bits-1];
        if (2 * i + 1 < Below) begin : pair
          logic signed [Bits-2:0] right;
          assign right = level[l-1].sums[(2*i+1)*(Bits-1)+:Bits-1];
          assign sums[i*Bits+:Bits] = Bits'(left) + Bits'(right);
        end else begin : odd
          assign sums[i*Bits+:Bits] = Bits'(left);
        end
      end
    end
  end
  assign y = level[Levels].sums;
endmodule
